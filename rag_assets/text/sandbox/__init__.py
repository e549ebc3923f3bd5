"""Documents are read in a child process without credentials, so that no document can take more than itself down.

Our side: `worker` (asks for a document, translates answers), `guard` (time, memory, and the child's end).
The child's side: `child` (its main loop), `confinement` (what it gives up), by `seccomp` and `landlock` on Linux.
Between them: `frames` (messages over a pipe).
"""

"""Processes of this machine: how they are named, started, ended, and kept apart.

`spawning`: children that die with us; on Windows by `windows_job`. `tree`: ends a process and all it started.
`identity`: which process a number means, on which host. `file_lock`: one holder at a time. `interrupts`: Ctrl-C, once.
`ports`: a free one, and whose one is. `memory`: how much there is for a new one. `private_folder`, `bounded_log`,
`whole_file`: what a process leaves on the disk. `windows_owner`: whose it is on Windows.
"""

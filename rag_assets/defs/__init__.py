"""Dagster: which assets, jobs and sensors there are, and how their runs are started and reported.

What exists: `assets` (`specs`: their words in the catalogue), `partitions`, `checks`, `jobs`, `resources`.
When a run is made: `sensors`. How it starts: `launching` (in a process of its own), `foreground` (in this one).
What Dagster is told of documents: `events`, with `previews` of their texts; of a run while it works: `progress`;
what to do about a fault: `remedies`. Who is told by webhook of what failed: `notices`.
What it forgets: `history`. Names that it keeps private: `dagster_internals`, and nowhere else.
"""

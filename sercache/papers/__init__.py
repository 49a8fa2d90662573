"""One file per paper: the rows of its tables, the printed numbers, and what to run for ours."""

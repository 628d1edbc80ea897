"""``openclaw ui``: the log, its runs, the questions and the budgets on one screen that looks again by itself (extra ``ui``)."""

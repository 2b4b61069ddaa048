"""Evidence: intervals, paired comparisons and verdicts, all computed from the `predictions` table."""

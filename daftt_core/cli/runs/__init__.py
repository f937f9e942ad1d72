"""Commands that look at finished runs, and act on what they made."""

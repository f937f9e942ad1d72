"""Commands that write what a run needs: task files, settings, a plan, compiled pipelines."""

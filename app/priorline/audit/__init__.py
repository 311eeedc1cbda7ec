"""Who asked for what, when and why."""

"""The timeline above the panes: model, view, coverage bar, list."""

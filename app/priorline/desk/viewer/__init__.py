"""The panes: one image area each, with its identity strip."""

"""What runs outside the window: worker processes, lanes, numbered requests and events; no Qt."""

"""Patient, study, identity, timeline, relevance, retention: standard library only, no input or output."""

"""The local store of retrieved studies: sealed objects and a rebuildable index."""

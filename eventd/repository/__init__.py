"""The git repository: fetched without rights, read without a work tree, and what tells that it changed."""

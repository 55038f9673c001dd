"""The git repository: fetched without privileges, read without a work tree, and watched for changes."""

"""One module per peer (D-Bus, git, files, …): a thin veneer that translates the peer's errors into ours."""

"""systemd's managers and logind: their D-Bus interfaces, and the sources of unit and session facts."""

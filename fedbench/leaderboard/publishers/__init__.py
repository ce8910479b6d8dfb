"""Where a site can go. Each module is one kind of place, registered as a plugin's would be."""

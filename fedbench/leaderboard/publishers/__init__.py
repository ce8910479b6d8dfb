"""Publishers of sites. Each module is one kind of target, registered as a plugin's would be."""

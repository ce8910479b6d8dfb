"""The ``fedbench`` command. Each module is one sub-command, imported when it is called."""

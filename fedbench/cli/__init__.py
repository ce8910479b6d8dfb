"""The ``fedbench`` command: a module for each sub-command, imported when it is called."""

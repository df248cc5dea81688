"""What every asset rests on: the workspace, the list of steps, names, versions, locks, what DVC records and keeps."""

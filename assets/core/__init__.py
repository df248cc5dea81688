"""What every asset rests on: the workspace's paths, steps, versions, locks, what DVC keeps."""

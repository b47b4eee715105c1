"""A whole network on a laptop: the development server and its PLC directory."""

"""Templates of the pages about second factors."""

"""Layers and other blobs of images, stored by their OCI digest and once for all users."""

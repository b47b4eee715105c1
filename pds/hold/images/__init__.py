"""What a hold knows of images beside their bytes: manifests, their layers, posts about them."""

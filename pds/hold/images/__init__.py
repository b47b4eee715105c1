"""What a hold knows about images besides their bytes: manifests, their layers, posts about them."""

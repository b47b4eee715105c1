"""The worker processes of a server that has several: started, watched and replaced by the first."""

"""Tests of the pages about second factors."""

"""Tests of second factors, without HTTP."""

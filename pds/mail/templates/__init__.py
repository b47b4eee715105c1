"""Texts of mails, each as HTML and as plain text."""

"""img2dataset as the downloader, called from an environment of its own."""

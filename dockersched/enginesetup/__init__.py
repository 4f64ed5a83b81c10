"""Finds a container engine; on Debian and Ubuntu as root, installs and starts one (`make engine`)."""

#!/bin/sh
# A worker without load for bringup.py; its arguments, such as --headless, mean nothing to it.
exec sleep 600

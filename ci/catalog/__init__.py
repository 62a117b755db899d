"""What can be installed, served and asked: versions, tools, models, data sets, their locks."""

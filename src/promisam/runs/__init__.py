"""Run folders: training into one, predicting from one, for a whole data set at a time."""

"""The wire between a camera and a model on another computer. Knows neither model nor daemon."""

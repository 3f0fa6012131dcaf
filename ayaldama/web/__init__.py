"""The front door: index page, figures of the demo, and the browser files that everything else uses."""

"""The earth: points, boxes, cells and zones; pure."""

"""Measurements that print their own physical floor."""

"""What customers write about, told in fragments that read naturally in any order."""

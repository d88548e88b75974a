"""`mail schema init`: a schema file proposed for some files."""

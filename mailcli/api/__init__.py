"""What `import mailcli as mail` offers to scripts and notebooks: what the commands do, as functions and DataFrames."""

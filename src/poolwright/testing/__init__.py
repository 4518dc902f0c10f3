"""Contract suites for steps, pools and layouts: packages that add some run them as tests of their own."""

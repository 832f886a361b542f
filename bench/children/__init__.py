"""Programs that are timed as processes of their own: what one would write instead, and bare floors."""

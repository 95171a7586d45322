#![no_main]

sekisho_fuzz::fuzz!("usernat");

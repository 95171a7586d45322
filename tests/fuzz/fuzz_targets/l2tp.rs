#![no_main]

sekisho_fuzz::fuzz!("l2tp");

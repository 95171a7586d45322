//! A monitor's filter: a line of text, a zero byte, and a frame.

use sekisho::hub::filter::Filter;
use sekisho::wire::ether::Frame;

pub(super) fn filter(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (text, rest) = bytes.split_at(at);
    let text = String::from_utf8_lossy(text);
    let (Ok(filter), Ok(contrary)) = (Filter::parse(&text), Filter::parse(&format!("not ({text})"))) else {
        return;
    };
    // A frame matches either an expression or its contrary; what is no frame matches neither.
    let frame = rest.get(1..).unwrap_or_default();
    let matches = usize::from(filter.matches(frame)) + usize::from(contrary.matches(frame));
    assert_eq!(matches, usize::from(Frame::parse(frame).is_ok()));
}

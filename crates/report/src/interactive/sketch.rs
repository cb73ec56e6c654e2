//! A figure before it is encoded: traces, axes, and the marks over and under them.

use plotly::common::{Anchor, DashType, Font, Orientation};
use plotly::layout::{
    Annotation, Axis, BarMode, HoverMode, Legend, Margin, Shape, ShapeLayer, ShapeLine, ShapeType,
    TraceOrder,
};
use plotly::{Layout, Trace};

/// A figure before it is encoded.
pub(super) struct Sketch {
    pub(super) traces: Vec<Box<dyn Trace>>,
    layout: Layout,
    shapes: Vec<Shape>,
    pub(super) notes: Vec<Annotation>,
}

impl Sketch {
    pub(super) fn new(x: Axis, y: Axis) -> Self {
        let layout = Layout::new()
            .x_axis(x)
            .y_axis(y)
            .auto_size(true)
            .hover_mode(HoverMode::Closest)
            .margin(Margin::new().left(64).right(16).top(8).bottom(52))
            .legend(legend());
        Self { traces: Vec::new(), layout, shapes: Vec::new(), notes: Vec::new() }
    }

    /// The same with bars that stand on each other.
    pub(super) fn stacked(mut self) -> Self {
        // The legend of such bars would be turned round.
        let legend = legend().trace_order(TraceOrder::Normal);
        self.layout = self.layout.bar_mode(BarMode::Stack).legend(legend);
        self
    }

    /// The specification, with `<` written as an escape so that no text in it can end the script
    /// element that holds it.
    pub(super) fn encode(self) -> Result<String, serde_json::Error> {
        let mut data = Vec::with_capacity(self.traces.len());
        for trace in &self.traces {
            data.push(serde_json::from_str::<serde_json::Value>(&trace.to_json())?);
        }
        let layout = self.layout.shapes(self.shapes).annotations(self.notes);
        let spec = serde_json::to_string(&serde_json::json!({ "data": data, "layout": layout }))?;
        Ok(spec.replace('<', "\\u003c"))
    }

    /// A region behind the data, from edge to edge of the other direction.
    pub(super) fn region(
        &mut self,
        upright: bool,
        from: f64,
        to: f64,
        colour: &'static str,
        opacity: f64,
    ) {
        let shape = Shape::new()
            .shape_type(ShapeType::Rect)
            .layer(ShapeLayer::Below)
            .fill_color(colour)
            .opacity(opacity)
            .line(ShapeLine::new().width(0.0));
        self.shapes.push(if upright {
            shape.y_ref("paper").y0(0.0).y1(1.0).x0(from).x1(to)
        } else {
            shape.x_ref("paper").x0(0.0).x1(1.0).y0(from).y1(to)
        });
    }

    /// An upright line at a load with its label, `share` of the way up, right or left of the line.
    pub(super) fn mark(
        &mut self,
        x: f64,
        (label, colour, dash): (String, &'static str, DashType),
        share: f64,
        right: bool,
    ) {
        self.shapes.push(
            Shape::new()
                .shape_type(ShapeType::Line)
                .y_ref("paper")
                .x0(x)
                .x1(x)
                .y0(0.0)
                .y1(1.0)
                .line(ShapeLine::new().color(colour).width(2.0).dash(dash)),
        );
        let (anchor, shift) = if right { (Anchor::Left, 4.0) } else { (Anchor::Right, -4.0) };
        self.notes.push(
            Annotation::new()
                .text(label)
                .show_arrow(false)
                .font(Font::new().color(colour))
                .x(x)
                .y_ref("paper")
                .y(share)
                .x_anchor(anchor)
                .x_shift(shift),
        );
    }

    /// Says in the middle why there is nothing to see.
    pub(super) fn empty(&mut self, text: &str) {
        self.notes.push(
            Annotation::new()
                .text(text)
                .show_arrow(false)
                .x_ref("paper")
                .y_ref("paper")
                .x(0.5)
                .y(0.5),
        );
    }
}

/// A legend above the figure.
fn legend() -> Legend {
    Legend::new()
        .orientation(Orientation::Horizontal)
        .x(0.0)
        .y(1.02)
        .x_anchor(Anchor::Left)
        .y_anchor(Anchor::Bottom)
}

"""How the studio looks: quiet surfaces, system fonts, and one accent colour."""

from pathlib import Path

import gradio as gr
from gradio.themes.utils import colors, sizes

HERE = Path(__file__).parent
STYLE = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("studio.css", "tabs/tabs.css"))
SCRIPT = (HERE / "page.js").read_text(encoding="utf-8")
HEAD = (
    '<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">'
    f"<script>{SCRIPT}</script>"
)

# Teal is the one strong hue that no emotion has.
ACCENT = colors.Color(
    name="lagoon",
    c50="#effaf8",
    c100="#d5f0ec",
    c200="#aee0d9",
    c300="#7bcac0",
    c400="#46aca1",
    c500="#248f85",
    c600="#12756c",
    c700="#0f5f58",
    c800="#114c47",
    c900="#123f3c",
    c950="#062524",
)
GREY = colors.Color(
    name="pebble",
    c50="#faf9f7",
    c100="#f4f3f0",
    c200="#e7e5e0",
    c300="#d5d2cb",
    c400="#a8a59d",
    c500="#77746d",
    c600="#5c5a54",
    c700="#3b3d3f",
    c800="#25282a",
    c900="#1a1d1f",
    c950="#121416",
)
FONT = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "PingFang SC", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def theme() -> gr.themes.Base:
    """Return the theme, light and dark."""
    base = gr.themes.Base(
        primary_hue=ACCENT,
        secondary_hue=ACCENT,
        neutral_hue=GREY,
        radius_size=sizes.radius_lg,
        spacing_size=sizes.spacing_md,
        text_size=sizes.text_md,
        font=FONT,
        font_mono=MONO,
    )
    return base.set(
        body_background_fill="*neutral_100",
        body_background_fill_dark="*neutral_950",
        body_text_color="#1c1e20",
        body_text_color_dark="#e9eaeb",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="*neutral_800",
        border_color_primary="*neutral_200",
        border_color_primary_dark="#303437",
        color_accent="*primary_600",
        color_accent_soft="*primary_50",
        color_accent_soft_dark="*primary_950",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="0px",
        block_shadow="none",
        block_padding="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_text_color="*body_text_color_subdued",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_title_text_weight="600",
        block_info_text_color="*body_text_color_subdued",
        block_info_text_color_dark="*body_text_color_subdued",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        button_secondary_background_fill="white",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_border_width="1px",
        button_large_radius="*radius_lg",
        checkbox_background_color_selected="*primary_600",
        checkbox_background_color_selected_dark="*primary_600",
        checkbox_border_color_selected="*primary_600",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_background_fill_selected_dark="*primary_950",
        checkbox_label_border_color_selected="*primary_600",
        checkbox_label_border_color_selected_dark="*primary_500",
        checkbox_label_text_color_selected="*body_text_color",
        input_background_fill="*neutral_50",
        input_background_fill_dark="*neutral_800",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        loader_color="*primary_600",
        loader_color_dark="*primary_300",
        stat_background_fill="*primary_600",
        stat_background_fill_dark="*primary_500",
    )

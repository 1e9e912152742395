"""The recipe of the font in overlays: the characters of GBK out of Noto Sans CJK SC (OFL-1.1).

pip install fonttools
python -m recipes.overlay_font NotoSansCJK-Regular.ttc
"""

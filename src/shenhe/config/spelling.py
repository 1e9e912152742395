"""How lines spell things: one spelling for each, and the names that lines know."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

STRONG: Final = "\x01"
"""Stands for `，`, `；`, a full stop, a line break: they join items, `,` joins levels as well."""
SCREWS: Final = "螺丝光纤插头"
"""The category 螺丝、光纤插头 in one word: its own `、` separates nothing."""
LABEL: Final = "标签"
DISTANCE: Final = "站点距离"
GROUP: Final = "组"

_TO_STRONG = str.maketrans(dict.fromkeys("，；;。\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", STRONG))
_UNSEEN = re.compile(
    "[\u0300-\u036f\u00ad\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u20d0-\u20ff\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Characters that nobody sees, or that only mark the one before them: no word may hide in them."""
_TRADITIONAL: Final = dict(
    zip(
        "無護擰緊銅複鏽銹彎徑亂裝錯誤絲纖頭擋風設備櫃處電線標籤顯佈斷見沒鬆動脫損規範滿達過圖關註認識別確該應須"
        "齊離組項體鎧點綁紮釘牆機網數並與個張號紅導連結維內層從這兩對側為時實際發現環"
        "蝕雜纜難攝壞傾遺鎖條總還補駁絕審請議給視嚴輕較顛懸開燒毀說準計測許夠壓幾顆塊畫場纏進後續盡責僅將會當違廠愛興華爲闆裏裡讓輪變陰",
        "无护拧紧铜复锈锈弯径乱装错误丝纤头挡风设备柜处电线标签显布断见没松动脱损规范满达过图关注认识别确该应须"
        "齐离组项体铠点绑扎钉墙机网数并与个张号红导连结维内层从这两对侧为时实际发现环"
        "蚀杂缆难摄坏倾遗锁条总还补驳绝审请议给视严轻较颠悬开烧毁说准计测许够压几颗块画场缠进后续尽责仅将会当违厂爱兴华为板里里让轮变阴",
        strict=True,
    )
)
_IN_TRADITIONAL = re.compile(f"[{''.join(_TRADITIONAL)}]")
_SCREWS = re.compile(
    r"(?<![装地端])螺丝[、/,\x01及和与]{1,2}光纤插头|光纤插头[、/,及和与]螺丝(?=[/,×]|$)"
)

KINDS: Final = (
    "bbu安装螺丝",
    "机柜处接地螺丝",
    "地排处接地螺丝",
    "bbu端光纤插头",
    "odf端光纤插头",
)
"""The second level of 螺丝、光纤插头."""
CATEGORIES: Final = {
    "bbu设备": "bbu设备",
    "bbu": "bbu设备",
    "挡风板": "挡风板",
    "档风板": "挡风板",
    SCREWS: SCREWS,
    "螺丝": SCREWS,
    "光纤插头": SCREWS,
    LABEL: LABEL,
    "光纤": "光纤",
    "电线": "电线",
    "rru设备": "rru设备",
    "紧固件": "紧固件",
    "rru接地端": "rru接地端",
    "接地线": "接地线",
    "尾纤": "尾纤",
}
"""Categories of lines by each of their spellings."""
ATTRIBUTES: Final = frozenset(
    (
        *("华为", "中兴", "爱立信", "显示完整", "只显示部分", "无需安装", "机柜空间充足需要安装"),
        *("这个bbu设备按要求配备了挡风板", "这个bbu设备未按要求配备挡风板", "安装牢固"),
        *("按要求配备挡风板", "未按要求配备挡风板", "挡风板无遮挡", "挡风板有遮挡"),
        *(
            "安装方向正确",
            "安装方向错误",
            "符合要求",
            "不符合要求",
            "未拧紧",
            "露铜",
            "复接",
            "生锈",
        ),
        *("无法识别", "可以识别", "无遮挡", "有遮挡", "有保护措施", "无保护措施", "弯曲半径合理"),
        *("弯曲半径不合理", "蛇形管", "铠装", "同时有蛇形管和铠装", "捆扎整齐", "分布散乱"),
        *("紧固合格", "有标签", "没有标签", "有套管保护", *KINDS),
    )
)
"""Attributes of lines."""


def flatten(text: str) -> str:
    r"""Write a text in one spelling: NFKC, simplified, lower case, what joins items as STRONG.

    Blanks are left out, and so are characters that nobody sees.

    >>> flatten("螺丝、光纤插头 / BBU安装螺丝，标签").split(STRONG)
    ['螺丝光纤插头/bbu安装螺丝', '标签']
    """
    text = unicodedata.normalize("NFKC", text.translate(_TO_STRONG)).casefold()
    if not text.isascii():
        text = _UNSEEN.sub("", text)
        if _IN_TRADITIONAL.search(text):
            text = _IN_TRADITIONAL.sub(lambda match: _TRADITIONAL[match[0]], text)
    return _SCREWS.sub(SCREWS, "".join(text.split()))


def spell_category(word: str) -> str:
    """Give the one spelling of a category; any other word stays.

    >>> spell_category("螺丝")
    '螺丝光纤插头'
    """
    return CATEGORIES.get(word, word)

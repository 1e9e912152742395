"""Phrases that refuse a group, state a fault, something missing, or a doubt: patterns.

They are held against flattened text, and say a kind of phrase rather than one wording of it: a
negation, adverbs, and what is denied.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from typing import Final

from shenhe.stages.evidence.shortfalls import (
    AGAIN,
    DAMAGED,
    NOT_GENUINE,
    OF_REFUSAL,
    OF_WRONG,
    SHORT,
    UNREADABLE,
)
from shenhe.stages.evidence.subjects import HARMLESS, NEGATION, UNSURE, subject_words

REFUSAL_WORDS: Final = (
    *("不通过", "不合格", "不予通过", "不能通过", "不应通过", "未通过", "不可通过"),
    *("不给通过", "不达标", "无法通过", "不予认可", "不过关", "没有通过", "没通过", "未能通过"),
    *("不建议通过", "不宜通过", "不得通过", "不准通过", "不同意通过", "通不过"),
    *("需整改", "需要整改", "要求整改", "应整改", "必须整改", "限期整改"),
)
FAULT_WORDS: Final = (
    *("装反", "反装", "松动", "脱落", "破损", "断裂", "不符合", "未按要求", "不满足"),
    *("不合理", "未达到要求", "未拧紧", "没有拧紧", "没拧紧", "未紧固", "未固定", "不牢"),
    *("露铜", "裸露", "复接", "生锈", "锈蚀", "安装错误", "方向错误", "散乱", "凌乱"),
    *("未安装", "未配备", "不规范", "有误"),
)
MISSING_WORDS: Final = (
    *("未见", "未看到", "没看到", "看不到", "看不见", "缺少", "缺失", "没有", "未拍到"),
    *("没拍到", "未拍摄", "不可见", "未显示", "未提供", "未出现", "未发现", "未包含", "缺"),
)
UNCLEAR_WORDS: Final = (
    *("看不清", "看不出", "无法看清", "无法确认", "无法判断", "无法辨认", "无法识别"),
    *("不能确认", "难以确认", "难以判断", "不完整", "不确定", "存疑", "有疑问", "有疑义"),
    *("需复核", "待确认", "待复核", "建议复核", "疑似"),
)
ABSENT: Final = frozenset(
    (
        *(
            "无",
            "没有",
            "未见",
            "不可见",
            "未显示",
            "不存在",
            "缺失",
            "模糊",
            "疑似",
            "不是",
            "未拍到",
        ),
        *("没拍到", "未拍", "看不到", "看不见", "找不到", "未出现", "未找到", "未看到", "没看到"),
    )
)
"""Attributes that say that the thing itself is not there, or not to be told."""
DOUBT: Final = re.compile(
    "看不清|看不出|(?:无法|不能|难以)(?:判断|确[认定]|看清|辨|分辨)|不确定|存疑|待[确核复]|待定|(?<!无需)(?<!不需)(?<!已)[复覆]核|未确认|未核"
    "|模糊|不清[晰楚]|疑似|可能|推测|估计|猜测|不明|未知|unclear|unsure|remark"
    f"|^(?:{'|'.join(sorted(ABSENT))})$"
)
"""An attribute that holds one of these is a remark, whether it says so or not."""
HIDDEN: Final = re.compile(
    "被.{0,8}(?:遮|挡|盖|压住)|^(?:完全|全部|大部分?|严重|部分)?(?:遮挡|挡住|遮住|遮盖)$"
)
"""An attribute of a screw or a plug that says that nobody sees it: it cannot be right as well."""
EMPTY_REMARKS: Final = frozenset({"无", "无备注", "暂无", "无复核", "没有"})
"""Remarks that say that there is none."""
_NOT = "(?:尚?未能?|并未|没能?|没有|并?不是|并?非|不|无法|未必)"
_HOW = (
    "(?:完全|全部|全|都|均|能够?|够|太|很|十分|真正|妥善|正确|严格|有效|曾|一定|见得|做到?|加以?|"
    "予以|得到|被|进行|按规[范定]|按要求){0,3}"
)
_NO_NEED = "(?<![无不])(?<!无需)(?<!无须)(?<!不需)(?<!不用)(?<!不需要)(?<!无需要)(?<!没有)"
_SOUND = (
    "(?:符合(?!性)|满足|达标|达到|达要求|合规|合格|合要求|规范|牢固|牢靠|牢|紧固(?![螺件])|固定(?![螺件])|拧紧|压紧|插紧|插好|"
    "接好|正确|[拧插安装接]{0,2}到位|整齐|捆扎|捆绑|绑扎|扎紧)"
)
_MAY = "(?:有可能|可能|或许|也许|恐怕?|大概|估计|好像|疑似|貌似|似)"

REFUSED: Final = re.compile(
    "(?:不|未|没|无法|难以?|暂不|暂缓)[能应该可得宜准会予给建议以]{0,4}"
    "(?:判定?|认定|评定?|视|判断|予以|给予|同意|批准|算|作|审核|验收){0,2}[为是作]?通过(?![图照])"
    "|通过不了|不[.,·]通过|驳回|退回|打回|否决|拒绝|返工|暂缓|判(?:定|断)?[为是]?否|不行(?!业)"
    f"|(?:{_NO_NEED}(?:需要?|要|须|应|待|建议|限期|后续|尽快|责令|通知)[^,]{{0,3}}整改)"
    f"|(?<!no)(?<!not)(?:fail|reject|notpass|notapprove)|{AGAIN}|{NOT_GENUINE}"
)
"""What refuses the group."""
FAULTY: Final = re.compile(
    f"{_NOT}{_HOW}{_SOUND}"
    "|(?:并?不是|并?非|不都是)(?:所有|全部|每|都)[^,]{0,8}(?:符合|满足|合格|达标|拧紧|正确|到位)"
    "|(?:无一|没有一|没有任何)[^,不未没无非]{0,8}(?:符合|满足|合格|达标|拧紧|正确|到位)"
    "|(?:符合|合格|拧紧)[^,]{0,8}(?:[为是有]|只有)(?<![0-9.])[0零][颗个处根]?(?![0-9.%])"
    "|松(?:动|脱|开|弛|了|的|$)|拧不紧|拧得不|滑丝|锈(?!钢)|虚接|悬空|断开|脱[落开]|折断|烧[毁焦]"
    "|(?:存在|出现|发现|有)(?:明显|严重|轻微|一处|一些)?(?:异常|问题|缺陷|隐患)|异常$"
    "|裸[露纤线铜]|[未没](?:有?做|加|有)?保护|[未没](?:有?加|有?穿|有?套)(?:蛇形|套)?管"
    "|无(?:任何|有效)?(?:保护|套管|蛇形管|护套)|缺[少失]?(?:有效)?保护|保护(?:措施)?(?:缺失|不足|没有|未做)"
    "|[未没]有?(?:插|接)(?![错反触收受着]|到通知)|未按(?:要求|规范|规定)(?!配备)"
    "|半径(?:约|为|仅|只有|[:=])?[0-3](?:\\.[0-9]{1,3})?(?:cm|厘米|公分)"
    "|(?:半径|弧度)[^,]{0,4}(?:太小|过小|偏小|较小|不足|不够|不符)|弯曲过[度大]|打折|打圈|成环"
    "|装[反倒]|[反倒]装|反向|颠倒|反了|方向[^,未没无不]{0,4}(?:反|不符|不对|有误|错|不正)|(?<!没)装错"
    "|[较很杂混凌散太]乱|乱[七成]|非正装|(?:不是|未)正装|方式[^,]{0,3}(?:不正|错|有误|不对)"
    "|(?<!no)(?<!not)(?:loose|rust|unqualified|noncompliant|incorrect|reversed|notmeet|nottight)"
    f"|[✗✘❌]|(?<![a-z0-9-])ng(?![a-z0-9-])|{DAMAGED}|{SHORT}"
)
"""What is wrong with a thing that the clause names."""
MISSING: Final = re.compile(
    "找不[到着]|[未没]能?找[到见]|[未没]能?看[到见]|未能见|看不[到见]|未见到?|不见(?!得)"
    "|(?:无法|不能)看[到见]|[未没][有能]?拍|[无没]有?[^,]{0,4}(?:照片|图片)(?!异常)|不在(?:图|画|照|视|场|$)"
    "|[少缺漏]了?(?:[0-9一二两三四]|几)[颗个处根块]|漏[装拍接]|[未没](?:安?装|配备?|接)(?!错)"
    "|(?<!no)(?<!not)(?<!nothing)(?<!nothingis)(?<!without)(?<!none)(?<!noneis)missing"
    "|(?<!no)(?<!not)(?:notvisible|notseen|absent)"
)
"""What says that a thing, which the clause names, is not there or not seen."""
FEWER: Final = re.compile(
    "[少缺漏]了?(?:[0-9一二两三四]|几)[颗个处根块]|[漏少]装|[未没]安?装(?![反错倒])"
)
"""What says that some of a thing's screws are not there."""
DEFECT: Final = re.compile(
    "异常|问题|缺陷|现象|情况|瑕疵|隐患|遮挡|矛盾|冲突|疑问|备注|不符|错误|损坏|变形|杂乱|违规|违反|"
    "其他|其它|其余|多余|不通过|不合格|弯折|打折|缠绕|交叉|拉扯|受力|挤压|划伤|老化|断开|外露|脱皮|锈|腐蚀|"
    "打结|虚接|错位|歪斜|倾斜|偏移|裂|缝隙|遗漏|漏装|缺装|需复核|否定"
)
"""What may be absent: its absence is good, or concerns nothing."""
BLURRED: Final = "模糊"
UNCLEAR: Final = re.compile(
    f"{BLURRED}|"
    "(?:无法|不能|难以|难于)[^,]{0,3}(?:看清|辨|分清|确[认定]|判[断别定]|识别|排除|得知|核[实查对]|查看|断定)"
    "|不排除|无从|未知|不明(?![显亮])|不[够太]?清[楚晰](?!除)|不甚清|难说|说不准|未必|不一定|待定"
    f"|{_NO_NEED}(?:需要?|要|须|建议|请|应|待|有待)[^,]{{0,4}}(?:补拍|重拍|重新拍|补充照|补充图|人工|核实|复核|覆核)"
    "|(?<![无不])(?<![无不][需用必])(?<!不需要)(?:人工(?:复核|确认|核实)|进一步(?:核|确|复))"
    f"|(?<!不){_MAY}[^,]{{0,8}}(?:松|锈|露铜|复接|未|没|不|缺|反|损|断|散乱|裸)"
    "|(?:另一|对)端[^,]{0,3}(?:未|没|不可见|看不|缺|无)|(?:只有|仅有?|只见|只拍到?)一[端侧]"
    f"|(?<!no)(?<!not)unclear|{UNREADABLE}"
)
"""What says that a thing, or the whole, cannot be told."""
_OF_FAULTS = (
    "[不未没非松锈滑虚悬断脱折烧异题患陷裸缺打环反倒颠错乱误少漏✗✘❌]|无(?!需|关|遮)|半径(?!合)|弯曲过|[为是有][0零]|"
    f"loose|rust|un|ng|incorrect|reversed|not|{OF_WRONG}"
)
FAULT_TRIGGER: Final = re.compile(_OF_FAULTS)
"""What every phrase of a fault holds at least one of: most clauses are done with it."""
TRIGGER: Final = re.compile(
    f"{_OF_FAULTS}|[难暂驳退否拒返整模待补工步许恐估像疑似重]|可能|大概|拍到?一|fail|reject|missing|absent"
    f"|{OF_REFUSAL}"
)
"""What every phrase holds at least one of."""
_DOUBLE = re.compile(
    "(?:不能说|不能算|谈不上|并非|并不是|不是)(?:没有|没|无|未见|未发现)|不无|不乏"
)
MAX_PHRASES = 16
"""Phrases of a clause that are looked at."""


@lru_cache(maxsize=256)
def absent_thing(own: frozenset[str]) -> re.Pattern[str]:
    """Give the pattern of 无 before a thing; `own` are the categories of the rules.

    >>> bool(absent_thing(frozenset()).search("odf端无插头"))
    True
    """
    return re.compile(
        f"(?<!有)无(?:任何)?(?=(?:{subject_words(own).pattern})(?!.{{0,2}}(?:需求|要求|需要|必要)))"
    )


def undo_double_negation(text: str) -> str:
    """Write what a text affirms by denying that it is absent as an affirmation.

    >>> undo_double_negation("螺丝并非没有松动")
    '螺丝有松动'
    """
    return _DOUBLE.sub("有", text)


def stated(text: str, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    """List the phrases of a pattern that a text states: no negation and no doubt before them.

    >>> [match[0] for match in stated("螺丝没有完全拧紧", FAULTY)]
    ['没有完全拧紧']
    >>> stated("未见螺丝松动", FAULTY)
    []
    """
    matches: list[re.Match[str]] = []
    if not TRIGGER.search(text):
        return matches
    for match in islice(pattern.finditer(text), MAX_PHRASES):
        before = HARMLESS.sub("", text[: match.start()])
        if NEGATION.search(before) or UNSURE.search(before):
            break  # and so is whatever stands behind
        if not before.endswith("不"):
            matches.append(match)
    return matches
